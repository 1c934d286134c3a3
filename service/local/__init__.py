"""The Neo4j and the Redis that a run brings along: fetched, started, watched and ended with the service.

launch      becomes a child that dies with its parent
child       one child process: its log, its end
orphans     ends what an earlier run left behind
data_dir    the data folder: its lock, private files, run.json
secrets     keys and passwords, generated once
jars        which jars Neo4j is, and where they are; `fetch` gets them, `pin` remakes their list
neo4j_server, redis_server   what each is started with
connect     asks a store whether it answers
stores      all of it together: `local_stores`
"""

from service.errors import LocalStoreError
from service.local.stores import Stores, local_stores

__all__ = ["LocalStoreError", "Stores", "local_stores"]
