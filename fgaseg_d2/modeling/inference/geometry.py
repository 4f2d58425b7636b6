"""Sizes and boxes of pictures, and where windows lie in them."""

Size = tuple[int, int]  # height, width
Box = tuple[float, float, float, float]  # left, top, right, bottom
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def window_offsets(length: int, size: int, stride: int) -> list[int]:
    """Where windows begin along one axis, in pixels; the last one ends at the edge."""
    if length <= size:
        return [0]
    steps = -(-(length - size) // stride)
    return [min(step * stride, length - size) for step in range(steps + 1)]


def scaled(size: Size, scale: float, multiple: int = 1, least: Size = (1, 1)) -> Size:
    """Height and width times a factor, rounded to a multiple, and at least so much."""
    height, width = (
        max(least[axis], round(size[axis] * scale / multiple) * multiple) for axis in (0, 1)
    )
    return height, width
