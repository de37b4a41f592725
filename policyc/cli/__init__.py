"""Layer 7: the command line. One file a command, imported only when it is called; commands.py lists them."""
