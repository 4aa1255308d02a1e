"""`python -m kd_keras` is `kd-keras`."""

from kd_keras.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
