"""What the adapter for hosted endpoints is made of: pace, endpoints, retries, reading replies, prices, batches.

Nothing here knows of data sets or of the database; `backends.openai_compatible` puts the pieces together.
"""
