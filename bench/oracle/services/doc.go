// Package services compares the services beside KV, Watch and Lease with real etcd's,
// through the JSON gateway: auth, lock, election, and the gateway's own ways of saying
// what is wrong with a request.
//
//	script: steps in order ---POST /v3/...---> etcd    ---> status, body --+
//	                       ---POST /v3/...---> Pontoon ---> status, body --+--> equal?
//
// Invariants:
//
//	V1  A step means the same on both sides: leases have ids that the script chose,
//	    and what a side made up (tokens) is saved and sent back to that side alone.
//	V2  Left out of the comparison are cluster_id, member_id and raft_term of headers,
//	    though not whether they are there, and saved values; nothing else.
package services
