// Package roundtrip moves data from etcd to Pontoon and back by backup files and
// by import, and compares what both hold.
//
//	etcd --snapshot--> FILE --pontoon restore--> Pontoon --snapshot--> FILE
//	  '--- same content, same HashKV at the same revision ---- etcd <--etcdutl restore--'
//
// Invariants:
//
//	I1. Real etcd is the judge: its etcdutl reads the files, its server starts
//	    from them, and its HashKV is compared.
//	I2. Every cluster is stopped when its test ends.
package roundtrip
