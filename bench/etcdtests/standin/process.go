//go:build standin

package integration

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/testutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
)

func (m *Member) args() []string {
	args := []string{
		"--name=" + m.Name, "--data-dir=" + m.DataDir,
		"--listen-client-urls=" + scheme(m.ClientTLSInfo) + m.addr, "--advertise-client-urls=" + m.GRPCURL,
		"--listen-peer-urls=" + m.peerURL(), "--initial-advertise-peer-urls=" + m.peerURL(),
		"--initial-cluster=" + m.initial, "--initial-cluster-state=" + m.state, "--initial-cluster-token=standin",
		fmt.Sprintf("--heartbeat-interval=%d", heartbeat.Milliseconds()),
		fmt.Sprintf("--election-timeout=%d", electionTimeout.Milliseconds()),
		"--bcrypt-cost=4", // as in etcd's own package
	}
	if info := m.ClientTLSInfo; info != nil {
		args = append(args, "--cert-file="+info.CertFile, "--key-file="+info.KeyFile, "--trusted-ca-file="+info.TrustedCAFile,
			fmt.Sprintf("--client-cert-auth=%v", info.ClientCertAuth), "--client-cert-file="+info.ClientCertFile, "--client-key-file="+info.ClientKeyFile)
		args = append(args, spoken(info)...)
	}
	if info := m.PeerTLSInfo; info != nil {
		args = append(args, "--peer-cert-file="+info.CertFile, "--peer-key-file="+info.KeyFile, "--peer-trusted-ca-file="+info.TrustedCAFile,
			fmt.Sprintf("--peer-client-cert-auth=%v", info.ClientCertAuth))
	}
	return append(args, m.flags()...)
}

// spoken is what TLS a server is to speak.
func spoken(info *transport.TLSInfo) (flags []string) {
	var suites []string
	for _, id := range info.CipherSuites {
		suites = append(suites, tls.CipherSuiteName(id))
	}
	if suites != nil {
		flags = append(flags, "--cipher-suites="+strings.Join(suites, ","))
	}
	if info.MaxVersion == tls.VersionTLS12 {
		flags = append(flags, "--tls-max-version=TLS1.2")
	}
	return flags
}

// launch starts the process, the bridge before it, and its client.
func (m *Member) launch() error {
	bin := os.Getenv(serverEnv)
	if bin == "" {
		return errors.New(serverEnv + " names no binary")
	}
	log, err := os.OpenFile(m.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process holds its own descriptor
	m.cmd, m.ended = exec.Command(bin, m.args()...), make(chan struct{})
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = m.cmd.Wait() // tests look at what it answers, not at how it ends
		close(m.ended)
	}()
	if m.of.Cfg.UseBridge && m.GRPCBridge == nil {
		l, err := net.Listen("tcp", strings.TrimPrefix(m.GRPCURL, scheme(m.ClientTLSInfo)))
		if err != nil {
			return err
		}
		m.GRPCBridge = newBridge(m, l)
	}
	if m.Client == nil {
		m.Client, err = NewClientV3(m)
	}
	return err
}

// Close ends the process, as SIGTERM does, and what it listens at.
func (m *Member) Close() {
	if m.GRPCBridge != nil {
		m.GRPCBridge.Close()
		m.GRPCBridge = nil
	}
	if m.ServerClient != nil {
		m.ServerClient.Close()
		m.ServerClient = nil
	}
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-m.ended:
	case <-time.After(stopLimit):
		_ = m.cmd.Process.Kill()
		<-m.ended
	}
	m.cmd = nil
}

// Stop ends the process and keeps its data.
func (m *Member) Stop(testutil.TB) { m.Close() }

// Terminate ends the process and removes its data.
func (m *Member) Terminate(t testutil.TB) {
	m.Close()
	if err := os.RemoveAll(m.DataDir); err != nil && t != nil {
		t.Errorf("%s: %v", m.Name, err)
	}
}

// Restart starts the process with the data it has. It returns once it listens: without a
// quorum it serves nobody, and the test may be waiting for that.
func (m *Member) Restart(testutil.TB) error {
	if err := m.launch(); err != nil {
		return err
	}
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(pollEvery) {
		conn, err := m.Dial()
		if err == nil {
			return conn.Close()
		}
		select {
		case <-m.ended:
			return fmt.Errorf("%s ended:\n%s", m.Name, m.log())
		default:
		}
	}
	return fmt.Errorf("%s does not listen", m.Name)
}
