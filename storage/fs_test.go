package storage

import "testing"

// A crash does not take away the directory that an engine was made in, nor
// those above it.
func TestDirectorySurvivesCrash(t *testing.T) {
	fs := NewCrashableMemFS()
	open := func(fs *FS) *Engine {
		return must(Open(Options{Dir: "/a/b/engine", FS: fs}))(t)
	}
	e := open(fs)
	id := Ident{ClusterID: 1, NodeID: 2}
	check(t, e.SetIdent(id))
	crashed := fs.CrashClone(0, 1)
	check(t, e.Close())
	e = open(crashed)
	defer e.Close()
	if got, ok, err := e.Ident(); err != nil || !ok || got != id {
		t.Fatal(got, ok, err)
	}
}
