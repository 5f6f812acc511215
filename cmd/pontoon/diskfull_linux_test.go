package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A node dies, and its disk has not a byte left: it says so and ends, however
// often it is started. Once there is room it starts with all that was
// acknowledged.
func TestStartOnFullDisk(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256m"); err != nil {
		t.Skip("a file system cannot be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	p := startNode(t, disk, nil)
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{p.addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	for i := range 20 {
		put(t, cli, fmt.Sprint("k", i), fmt.Sprint(i))
	}
	p.kill()
	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(zeros)
	}
	if !errors.Is(err, syscall.ENOSPC) || f.Close() != nil {
		t.Fatal(err)
	}
	client := freeAddr(t)
	args := []string{"start", "--data-dir", filepath.Join(disk, "data"), "--listen-client-urls=http://" + client,
		"--advertise-client-urls=http://" + client, "--listen-peer-urls=http://" + freeAddr(t)}
	for range 2 {
		if _, stderr, code := pontoon(t, args...); code != 1 || !strings.Contains(stderr, "no space left on device") {
			t.Fatalf("code %d, %s", code, stderr)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	again := launch(t, filepath.Join(disk, "log"), nil, client, args...)
	again.awaitReady()
	cli.SetEndpoints(client)
	for i := range 20 {
		mustGet(t, cli, fmt.Sprint("k", i), fmt.Sprint(i))
	}
}
