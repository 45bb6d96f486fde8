"""`python -m tidegate.cli`: what the supervisor starts its own processes with."""

from tidegate.cli.app import main

if __name__ == "__main__":
    main()
