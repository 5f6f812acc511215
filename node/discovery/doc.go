// Package discovery finds the members of a new cluster: through another one, by etcd's
// own v3 discovery, where each node registers itself under a token, and the first as
// many as the token's size found the cluster; or in DNS, by etcd's SRV records.
//
//	--discovery-token, --discovery-endpoints --Options--> Join ----> name=url,name=url
//	--discovery-srv --SRV--> Members --------------------------------^
//
// I1: only a node without data asks. I2: a node that comes too late is refused, and
// does not found a cluster of its own.
package discovery
