"""The command line: `fgaseg-d2` and its commands, one module each.

It lies beside the package that it drives, because importing that takes seconds: a command line is
read, and --help answered, with the standard library alone.
"""
