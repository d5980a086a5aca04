"""
The nearest edge by Amazon's Route 53: a host name outside our zone whose records lead to our edges.

regions
    the regions that its records may name.
plan
    pure: edges, and what stands there, to what is to be changed. Refuses what Amazon refuses.
calls, aws
    what is asked of Amazon; with boto3.
settle
    one pass over both, for a thread.
"""
