"""Parts of pages, one idea a file."""
