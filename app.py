"""python app.py opens the lab in the browser, and its minds to clients under /v1."""

from lab.api import create_api
from lab.ui.serve import serve

if __name__ == "__main__":
    raise SystemExit(serve(api=create_api))
