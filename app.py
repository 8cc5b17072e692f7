"""python app.py opens the lab in the browser."""

from lab.ui.serve import serve

if __name__ == "__main__":
    raise SystemExit(serve())
