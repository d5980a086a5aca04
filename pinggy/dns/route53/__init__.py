"""
The nearest edge by Amazon's Route 53: a host name outside our zone whose records lead to our edges.

regions
    the regions that its records may name.
plan
    pure: edges, and what stands there, to what is to be changed. Refuses what Amazon refuses.
client
    boto3 in threads of its own; keeper calls it when edges change, and now and then.
"""
