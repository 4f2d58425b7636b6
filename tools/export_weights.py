#!/usr/bin/env python3
"""Write a checkpoint's weights as safetensors in half precision, to ship or to share."""

import argparse
import sys


def main() -> int:
    """Run the command line.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="a checkpoint of training (.pth)")
    parser.add_argument("output", help="where to write (.safetensors)")
    args = parser.parse_args()
    if not args.output.endswith(".safetensors"):
        parser.error(f"expected an output ending in .safetensors, got {args.output}")

    from fgaseg_d2.checkpoint_files import read_checkpoint, write_checkpoint

    try:
        state = read_checkpoint(args.checkpoint)["model"]
        state = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in state.items()
        }
        write_checkpoint(args.output, state)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    total = sum(tensor.numel() for tensor in state.values())
    sys.stdout.write(f"{total:,} numbers in {args.output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
