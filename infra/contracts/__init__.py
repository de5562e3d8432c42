"""The contracts as other languages read them: JSON Schemas, an AsyncAPI document, a page of it (`make contracts`)."""
