package proc

import (
	"os"
	"testing"
	"time"
)

func TestProcess(t *testing.T) {
	line := "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 300 40 0 0 20 0 1 0 5 600 7 8\n"
	p, err := parse([]byte(line))
	if err != nil || p.CPU != 3400*time.Millisecond || p.Resident != 7*int64(os.Getpagesize()) {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{"", "42 (short) S 1", "42 (a) S 1 2 3 4 5 6 7 8 9 10 many 40 0 0 20 0 1 0 5 600 7 8"} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
	if n, err := parseAnonymous([]byte("Name:\tx\nVmRSS:\t    9 kB\nRssAnon:\t       5 kB\n")); err != nil || n != 5<<10 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := parseAnonymous([]byte("VmRSS: 9 kB\n")); err == nil {
		t.Error("no figure is no error")
	}
	written, err := parseWritten([]byte("rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n"))
	if err != nil || written != 4096 {
		t.Errorf("%d, %v", written, err)
	}
	if _, err := parseWritten([]byte("rchar: 1\n")); err == nil {
		t.Error("no write_bytes accepted")
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return // this system has none
	}
	if p, err := Read(os.Getpid()); err != nil || p.Resident < 1<<20 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestMachine(t *testing.T) {
	m, err := parseMachine([]byte("cpu  100 1 20 500 7 3 4 5 90 0\ncpu0 1 2 3\n"))
	if err != nil || m != (Machine{Total: 6400 * time.Millisecond, Idle: 5070 * time.Millisecond, Interrupts: 70 * time.Millisecond}) {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := parseMachine([]byte("intr 1 2 3 4 5 6 7 8 9\n")); err == nil {
		t.Error("another line accepted")
	}
}
