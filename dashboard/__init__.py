"""The dashboard: pages of Streamlit, and the parts that they are made of; what they do lives in `medfuse.review`."""
