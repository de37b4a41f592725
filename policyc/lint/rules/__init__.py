"""The rules, one a file. A file has RULE and, unless the compiler itself tells the finding, ``check(subject)``."""
