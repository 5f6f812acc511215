// Command etcdctl is etcd's own command-line client 3.7.3, built from the module
// proxy.
package main

import ctlv3 "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func main() { ctlv3.MustStart() }
