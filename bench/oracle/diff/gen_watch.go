package diff

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func (g *Generator) stream() int { return g.rnd.IntN(maxStreams) }

func (g *Generator) onStream(n int, r *pb.WatchRequest) Op {
	return Op{Kind: KindWatch, Gateway: g.gateway(), N: n, Msg: r}
}

func (g *Generator) create(n int, c *pb.WatchCreateRequest) Op {
	return g.onStream(n, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: c}})
}

// anyStream is mostly one that the generator opens and closes, sometimes the base stream.
func (g *Generator) anyStream() int {
	if g.chance(25) {
		return baseStream
	}
	return g.stream()
}

func (g *Generator) progressOn(n int) Op {
	return g.onStream(n, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

func (g *Generator) watchOpen() Op {
	n := g.stream()
	if g.streams[n] == 0 {
		g.streams[n] = 0
	}
	return Op{Kind: KindOpen, Gateway: g.gateway(), N: n, Msg: &pb.WatchRequest{}}
}

func (g *Generator) watchClose() Op { return g.closeStream(g.stream()) }

func (g *Generator) closeStream(n int) Op {
	delete(g.streams, n)
	return Op{Kind: KindClose, Gateway: g.gateway(), N: n, Msg: &pb.WatchRequest{}}
}

func (g *Generator) watchCreate() Op {
	n := g.stream()
	if g.streams[n] >= maxWatchers {
		return g.closeStream(n)
	}
	g.streams[n]++
	c := &pb.WatchCreateRequest{
		Key: g.key(), ProgressNotify: g.chance(25), PrevKv: g.chance(50), Fragment: g.chance(35), StartRevision: g.revision(40),
	}
	if c.StartRevision >= nowBase+2 && g.chance(60) {
		c.StartRevision = 0 // watchers of the future keep a stream from progress
	}
	c.RangeEnd = g.rangeEnd(c.Key)
	if g.chance(25) {
		c.RangeEnd = []byte{0}
	}
	if g.chance(12) {
		c.Filters = append(c.Filters, pb.WatchCreateRequest_NOPUT)
	}
	if g.chance(12) {
		c.Filters = append(c.Filters, pb.WatchCreateRequest_NODELETE)
	}
	if g.chance(30) {
		c.WatchId = g.watchID()
	}
	return g.create(n, c)
}

// watchID is an id that a client chooses; -1 is left out, because it means all
// watchers of a stream in answers.
func (g *Generator) watchID() int64 {
	if g.chance(3) {
		return -5
	}
	return int64(g.rnd.IntN(maxWatchers))
}

func (g *Generator) watchCancel() Op {
	n := g.stream()
	id := &pb.WatchCancelRequest{WatchId: g.watchID()}
	return g.onStream(n, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: id}})
}

func (g *Generator) watchProgress() Op { return g.progressOn(g.anyStream()) }

// watchEmpty is a request without content, which etcd ignores.
func (g *Generator) watchEmpty() Op { return g.onStream(g.stream(), &pb.WatchRequest{}) }
