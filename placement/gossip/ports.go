package gossip

import (
	"google.golang.org/grpc"

	"github.com/pontoon-kv/pontoon/proto"
)

// Peers gives connections to other nodes.
type Peers interface {
	// Conn returns the shared connection to a node. It does not wait for the
	// connection to be up.
	Conn(node proto.NodeID) (*grpc.ClientConn, error)
}
