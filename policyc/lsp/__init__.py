"""The language server: what an editor asks of a policy while it is written. docs/lsp.md is its page."""
