"""What a result looks like: on the terminal, in JSON, CSV and Markdown."""
