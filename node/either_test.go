package node_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/secure"
)

// An address listed with http and https serves both, gRPC and HTTP; who says nothing
// holds nobody up.
func TestPlainAndEncryptedOnOnePort(t *testing.T) {
	c := layOut(t, 1, func(_ int, cfg *config.Config) {
		plain := cfg.ListenClientURLs[0]
		cfg.ListenClientURLs = []string{plain, "https" + plain[len("http"):]}
		cfg.ClientTLS = secure.Settings{AutoTLS: true}
	})
	c.start() // over the plain side
	nd := c.nodes[0]
	silent, err := net.Dial("tcp", nd.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	trusting := &tls.Config{InsecureSkipVerify: true}
	encrypted, err := grpc.NewClient("passthrough:///"+nd.addr, grpc.WithTransportCredentials(credentials.NewTLS(trusting)))
	if err != nil {
		t.Fatal(err)
	}
	defer encrypted.Close()
	ctx := within(t, 10*time.Second)
	for name, conn := range map[string]*grpc.ClientConn{"plain": nd.conn, "encrypted": encrypted} {
		if _, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte(name)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, scheme := range []string{"http", "https"} {
		for _, v2 := range []bool{true, false} {
			h := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: trusting, ForceAttemptHTTP2: v2}}
			resp, err := h.Get(scheme + "://" + nd.addr + "/version")
			if err != nil {
				t.Errorf("%s: %v", scheme, err)
				continue
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", scheme, resp.Status)
			}
		}
	}
}
