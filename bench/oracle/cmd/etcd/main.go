// Command etcd is real etcd 3.7.3, built from the module proxy: the oracle that
// Pontoon is compared with.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
