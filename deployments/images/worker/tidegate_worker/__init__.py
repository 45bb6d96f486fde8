"""What runs inside a GPU container: fetches one model, proves its digest, serves it with `llama-server`.

Standard library only, so that the image stays small; queue mode adds `runpod` (and its aiohttp).
Knows nothing of Tidegate's other packages: its environment is the whole contract (see README.md).
"""
