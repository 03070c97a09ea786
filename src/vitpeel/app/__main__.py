"""`python -m vitpeel.app`."""

from vitpeel.app.cli import main

if __name__ == "__main__":
    main()
