"""Graphs of earlier runs, for the command line: answered without importing torch, or not at all.

`key` tells what a Graph depends on, from the `sources` that `scanning` and `bytecode` judge;
`codec` makes bytes of it and back, in `columns`; `store` keeps them, and `graphs` asks for them.
"""
