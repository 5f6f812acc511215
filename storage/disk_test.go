package storage

import "testing"

func TestDisk(t *testing.T) {
	e := must(Open(Options{Dir: t.TempDir()}))(t)
	defer func() { check(t, e.Close()) }()
	d := must(e.Disk())(t)
	if d.Total <= 0 || d.Free < 0 || d.Free > d.Total {
		t.Errorf("%+v", d)
	}
	if d := must(openMem(t).Disk())(t); d != (Disk{}) {
		t.Errorf("a file system in memory has %+v", d)
	}
}
