"""The Jupyter server extension: REST, WebSocket, and the hub that feeds them."""
