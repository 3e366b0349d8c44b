"""The command line, one module per group of commands.

Belongs here: arguments, progress and printing. Does not belong here: anything that another caller could need.

Modules here import dagster, pyarrow and most of this package inside the command that needs them. A command starts
quickly this way, and `--help` and completion in the shell start in a fraction of a second.
"""
