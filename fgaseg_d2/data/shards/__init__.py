"""Pictures with captions in webdataset shards: tar files, which are read in any order.

Each shard's headers are read once, and where its samples lie is kept. A folder of shards is then a
list of samples like any other: shuffled exactly, shared out by position, resumed exactly.
"""
