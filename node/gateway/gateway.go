// Package gateway serves the etcd API as JSON over HTTP, under /v3/.
//
//	HTTP/JSON, websocket --grpc-gateway--> gRPC over an in-memory pipe --> the
//	        node's own gRPC server, with all its interceptors
//
// Paths, field names and error bodies are those of etcd 3.7: the handlers are
// generated from etcd's own .proto files.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/tmc/grpc-websocket-proxy/wsproxy"
	etcdgw "go.etcd.io/etcd/api/v3/etcdserverpb/gw"
	electiongw "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb/gw"
	lockgw "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb/gw"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
)

// pipeBytes is the buffer of the in-memory connection.
const pipeBytes = 1 << 20

// Gateway translates for one gRPC server.
type Gateway struct {
	pipe    *bufconn.Listener
	conn    *grpc.ClientConn
	cancel  context.CancelFunc
	handler http.Handler
	most    int64 // bytes of a JSON message
}

// New returns a gateway to whatever server serves its Listener. A JSON message of
// more than so many bytes is refused before it is in memory.
func New(log *slog.Logger, messageBytes int64) (*Gateway, error) {
	ctx, cancel := context.WithCancel(context.Background())
	g := &Gateway{pipe: bufconn.Listen(pipeBytes), cancel: cancel, most: messageBytes}
	conn, err := grpc.NewClient("passthrough:///gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return g.pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g.conn = conn
	mux := runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.HTTPBodyMarshaler{
		Marshaler: &runtime.JSONPb{
			MarshalOptions:   protojson.MarshalOptions{UseProtoNames: true},
			UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: true},
		},
	}))
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		etcdgw.RegisterKVHandler, etcdgw.RegisterWatchHandler, etcdgw.RegisterLeaseHandler,
		etcdgw.RegisterClusterHandler, etcdgw.RegisterMaintenanceHandler, etcdgw.RegisterAuthHandler,
		lockgw.RegisterLockHandler, electiongw.RegisterElectionHandler,
	} {
		if err := register(ctx, mux, conn); err != nil {
			g.Close()
			return nil, fmt.Errorf("gateway: %w", err)
		}
	}
	g.handler = wsproxy.WebsocketProxy(mux,
		wsproxy.WithRequestMutator(func(_, outgoing *http.Request) *http.Request {
			outgoing.Method = http.MethodPost // a stream's handler is a POST
			return outgoing
		}),
		wsproxy.WithMaxRespBodyBufferSize(math.MaxInt32),
		wsproxy.WithLogger(proxyLog{log}),
	)
	return g, nil
}

// Listener is what the gRPC server must serve.
func (g *Gateway) Listener() net.Listener { return g.pipe }

// ServeHTTP serves everything under /v3/.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil {
		r.Body = &bounded{ReadCloser: r.Body, most: g.most}
	}
	g.handler.ServeHTTP(w, r)
}

// Close ends the connection and with it the streams over it.
func (g *Gateway) Close() {
	g.cancel()
	g.conn.Close()
	g.pipe.Close()
}

// proxyLog is slog as the websocket proxy wants it. What goes wrong there is a
// client's affair.
type proxyLog struct{ log *slog.Logger }

func (l proxyLog) Warnln(args ...any)  { l.log.Debug("websocket", "warning", fmt.Sprint(args...)) }
func (l proxyLog) Debugln(args ...any) { l.log.Debug("websocket", "debug", fmt.Sprint(args...)) }
