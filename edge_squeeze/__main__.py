"""`python -m edge_squeeze` is `edge-squeeze`."""

from edge_squeeze.cli.app import main

if __name__ == "__main__":
    main()
