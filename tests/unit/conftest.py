"""Makes modules beside this file (`tiny`, `api_server` ...) importable from every folder of unit tests."""
