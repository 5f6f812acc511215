// Package etcdtests runs etcd's own black-box tests with Pontoon's binary in the place
// of bin/etcd, and says of every test whether it passed and why not.
//
//	go.etcd.io/etcd/tests/v3  --go test -c-->  common.test
//	                                              | one process a test, one at a time
//	lab/bin/etcd ----link----> bin/pontoon        v
//	lab/bin/etcdctl, etcdutl   (real) <-------  lab/tests/common   (working directory)
//	lab/tests/fixtures         (certificates, copied from the module)
//	                                              |
//	reasons.txt ------------> verdict <--- test2json events
//	                             |
//	                             v
//	                          report: passed, failed, skipped, and the reason of each
//	                          that does not pass
//
// No test of etcd is changed: the test binary is built from the module proxy, and finds
// servers, tools and certificates beside its working directory as it does in etcd's tree.
//
// Tests of packages below `integration` start servers in their own process. For them the
// one package that does so is another one, standin, in which a server is a process of the
// binary under test; files of tests that look into the server's memory are left out.
//
// Invariants:
//
//	E1  A test that does not pass has a reason: its own words when it skips itself, else
//	    a line of reasons.txt. Without one the run fails.
//	E2  A line of reasons.txt holds for tests that do not pass. When one of them passes,
//	    or none of them exists any more, the run fails until the line is removed.
//	E3  A test that gives no result (a crash, a deadline) has failed.
//	E4  No server outlives the test that started it: its ports are the next test's.
package etcdtests
