package disk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// unmountLimit is how long an unmount is tried again: the kernel lets go of the
// files of a killed process a moment after its end.
const unmountLimit = 10 * time.Second

// mount is one mount of a disk; a loss of power begins the next one, so that the
// kernel keeps nothing in its caches.
type mount struct{ server *fuse.Server }

func mountAt(path string, d *Disk) (mount, error) {
	cached := time.Hour // nobody but the kernel changes anything
	server, err := fs.Mount(path, &dirNode{disk: d, dir: d.root}, &fs.Options{
		EntryTimeout: &cached, AttrTimeout: &cached,
		RootStableAttr: &fs.StableAttr{Mode: fuse.S_IFDIR, Ino: d.root.ino},
		MountOptions: fuse.MountOptions{
			DirectMountStrict: true, DisableXAttrs: true, FsName: "pontoon-disk", Name: "pontoon-disk", MaxWrite: 1 << 20,
		},
	})
	if err != nil {
		return mount{}, fmt.Errorf("disk: mount at %s (needs /dev/fuse and the right to mount): %w", path, err)
	}
	return mount{server}, nil
}

func (m mount) end() error {
	began := time.Now()
	for {
		err := m.server.Unmount()
		if err == nil {
			m.server.Wait()
			return nil
		}
		if time.Since(began) > unmountLimit {
			return fmt.Errorf("disk: unmount: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// fileNode is a file as the kernel knows it.
type fileNode struct {
	fs.Inode
	disk *Disk
	file *file
}

// dirNode is a directory as the kernel knows it.
type dirNode struct {
	fs.Inode
	disk *Disk
	dir  *dir
}

// What the kernel may ask of either.
var (
	_ = interface {
		fs.NodeOpener
		fs.NodeReader
		fs.NodeWriter
		fs.NodeFsyncer
		fs.NodeFlusher
		fs.NodeAllocater
		fs.NodeGetattrer
		fs.NodeSetattrer
		fs.NodeStatfser
	}((*fileNode)(nil))
	_ = interface {
		fs.NodeLookuper
		fs.NodeReaddirer
		fs.NodeCreater
		fs.NodeMkdirer
		fs.NodeLinker
		fs.NodeUnlinker
		fs.NodeRmdirer
		fs.NodeRenamer
		fs.NodeFsyncer
		fs.NodeGetattrer
		fs.NodeSetattrer
		fs.NodeStatfser
	}((*dirNode)(nil))
)

func (n *fileNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *fileNode) Read(_ context.Context, _ fs.FileHandle, p []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return fuse.ReadResultData(p[:n.file.readAt(p, at)]), 0
}

func (n *fileNode) Write(_ context.Context, _ fs.FileHandle, p []byte, at int64) (uint32, syscall.Errno) {
	n.disk.pass()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.ballast > 0 && n.disk.freeLocked() < int64(len(p)) {
		return 0, syscall.ENOSPC
	}
	n.file.writeAt(p, at)
	return uint32(len(p)), 0
}

func (n *fileNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.disk.passSync()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.file.sync()
	return 0
}

// Flush is a close, which promises nothing.
func (n *fileNode) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// Allocate takes no room in advance.
func (n *fileNode) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return 0
}

func (n *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.file.attr(&out.Attr)
	return 0
}

func (n *fileNode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if size, ok := in.GetSize(); ok {
		n.file.truncate(int64(size))
	}
	if mode, ok := in.GetMode(); ok {
		n.file.mode = mode & 0o777
	}
	n.file.attr(&out.Attr)
	return 0
}

func (n *fileNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return n.disk.statfs(out)
}

func (n *dirNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return n.disk.statfs(out)
}

func (d *Disk) statfs(out *fuse.StatfsOut) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := uint64(d.freeLocked() / blockSize)
	*out = fuse.StatfsOut{
		Blocks: capacity / blockSize, Bfree: free, Bavail: free, Bsize: blockSize, Frsize: blockSize,
		Files: 1 << 20, Ffree: 1 << 20, NameLen: 255,
	}
	return 0
}

func (f *file) attr(out *fuse.Attr) {
	at := f.modified
	*out = fuse.Attr{
		Ino: f.ino, Mode: fuse.S_IFREG | f.mode, Nlink: max(1, f.links), Size: uint64(f.size),
		Blocks: uint64(f.bytes() / 512), Blksize: blockSize,
	}
	out.SetTimes(nil, &at, &at)
}

func (d *dir) attr(out *fuse.Attr) {
	*out = fuse.Attr{Ino: d.ino, Mode: fuse.S_IFDIR | d.mode, Nlink: 2, Blksize: blockSize}
}

// child is the kernel's node of an entry.
func (n *dirNode) child(ctx context.Context, e entry, out *fuse.EntryOut) *fs.Inode {
	switch e := e.(type) {
	case *file:
		e.attr(&out.Attr)
		return n.NewInode(ctx, &fileNode{disk: n.disk, file: e}, fs.StableAttr{Mode: fuse.S_IFREG, Ino: e.ino})
	case *dir:
		e.attr(&out.Attr)
		return n.NewInode(ctx, &dirNode{disk: n.disk, dir: e}, fs.StableAttr{Mode: fuse.S_IFDIR, Ino: e.ino})
	}
	return nil
}

func (n *dirNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	e, ok := n.dir.entries[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, e, out), 0
}

func (n *dirNode) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	var list []fuse.DirEntry
	for _, name := range slices.Sorted(maps.Keys(n.dir.entries)) {
		switch e := n.dir.entries[name].(type) {
		case *file:
			list = append(list, fuse.DirEntry{Name: name, Ino: e.ino, Mode: fuse.S_IFREG})
		case *dir:
			list = append(list, fuse.DirEntry{Name: name, Ino: e.ino, Mode: fuse.S_IFDIR})
		}
	}
	return fs.NewListDirStream(list), 0
}

func (n *dirNode) Create(ctx context.Context, name string, _, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	n.disk.pass()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.ballast > 0 && n.disk.freeLocked() < blockSize {
		return nil, nil, 0, syscall.ENOSPC
	}
	f := newFile(n.disk.nextIno(), mode&0o777)
	f.links = 1
	n.dir.change(change{name: f})
	return n.child(ctx, f, out), nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *dirNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.pass()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	d := newDir(n.disk.nextIno(), mode&0o777)
	n.dir.change(change{name: d})
	return n.child(ctx, d, out), 0
}

func (n *dirNode) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.pass()
	t, ok := target.(*fileNode)
	if !ok {
		return nil, syscall.EPERM
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	t.file.links++
	n.dir.change(change{name: t.file})
	t.file.attr(&out.Attr)
	return t.EmbeddedInode(), 0
}

func (n *dirNode) Unlink(_ context.Context, name string) syscall.Errno {
	n.disk.pass()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	f, ok := n.dir.entries[name].(*file)
	if !ok {
		return syscall.ENOENT
	}
	f.links--
	n.dir.change(change{name: nil})
	return 0
}

func (n *dirNode) Rmdir(_ context.Context, name string) syscall.Errno {
	n.disk.pass()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	d, ok := n.dir.entries[name].(*dir)
	if !ok {
		return syscall.ENOENT
	}
	if len(d.entries) > 0 {
		return syscall.ENOTEMPTY
	}
	n.dir.change(change{name: nil})
	return 0
}

func (n *dirNode) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	n.disk.pass()
	target, ok := to.(*dirNode)
	if !ok || flags != 0 { // no exchange, no whiteout
		return syscall.EINVAL
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	e, ok := n.dir.entries[name]
	if !ok {
		return syscall.ENOENT
	}
	if over, ok := target.dir.entries[newName].(*file); ok {
		over.links--
	}
	if target.dir == n.dir {
		n.dir.change(change{name: nil, newName: e})
		return 0
	}
	target.dir.change(change{newName: e})
	n.dir.change(change{name: nil})
	return 0
}

func (n *dirNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.disk.passSync()
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.dir.sync()
	return 0
}

func (n *dirNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.dir.attr(&out.Attr)
	return 0
}

func (n *dirNode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if mode, ok := in.GetMode(); ok {
		n.dir.mode = mode & 0o777
	}
	n.dir.attr(&out.Attr)
	return 0
}
