"""The parts of the adapter for hosted endpoints: concurrency, endpoints, retries, responses, prices, batches.

`backends.openai_compatible` combines them. Nothing here knows data sets or the database.
"""
