package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/pontoon-kv/pontoon/cmd/importer"
)

func newImport() *cobra.Command {
	from, to := importSide{what: "from"}, importSide{what: "to"}
	var o importer.Options
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Copy a live etcd into this cluster and follow it until cut-over",
		Long: "Copies keys, leases, roles and users of a running etcd (or Pontoon), then follows its changes\n" +
			"until Ctrl-C: that is the cut-over. Stop the writers first; import then ends once everything they\n" +
			"wrote is here. A second Ctrl-C ends at once. The same command goes on where it ended.\n\n" +
			"Revisions and versions are not kept, and passwords cannot be read from a running etcd:\n" +
			"`pontoon restore` of a backup keeps both.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runImport(cmd, o, &from, &to)
		},
	}
	f := cmd.Flags()
	from.add(f, "")
	to.add(f, "127.0.0.1:2379")
	f.StringVar(&o.StateFile, "state", "pontoon-import.json", "file that remembers how far the import is")
	f.BoolVar(&o.Overwrite, "overwrite", false, "delete and overwrite what the target has of its own")
	f.BoolVar(&o.UntilCaughtUp, "until-caught-up", false, "end once everything is here that the source had when the copy was done")
	return cmd
}

func runImport(cmd *cobra.Command, o importer.Options, from, to *importSide) (err error) {
	// The root's context ends at the first signal; here that is the cut-over.
	ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer cancel()
	if o.From, err = from.connect(ctx); err != nil {
		return err
	}
	defer o.From.Close()
	if o.To, err = to.connect(ctx); err != nil {
		return err
	}
	defer o.To.Close()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	cut := make(chan struct{})
	go func() {
		select {
		case <-signals:
			close(cut)
		case <-ctx.Done():
			return
		}
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	o.CutOver = cut
	m := newMeter(os.Stderr)
	o.Note = func(text string) { m.finish(); fmt.Fprintln(os.Stderr, text) }
	o.Tell = throttled(m, cut)
	err = importer.Run(ctx, o)
	m.finish()
	switch {
	case err == nil:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "done: everything of the source is here (%s can be removed)\n", o.StateFile)
		return err
	case ctx.Err() != nil:
		return errors.New("import ended before cut-over; the same command goes on from here")
	}
	return err
}

// throttled shows news a few times a second.
func throttled(m *meter, cut <-chan struct{}) func(importer.News) {
	var last time.Time
	var step string
	return func(n importer.News) {
		if time.Since(last) < 200*time.Millisecond && n.Step == step {
			return
		}
		last, step = time.Now(), n.Step
		p := progress{text: fmt.Sprintf("copying: %d keys at revision %d", n.Keys, n.Revision), part: 0, eta: -1}
		if n.Total > 0 {
			p.part = float64(n.Keys) / float64(n.Total)
		}
		if n.Step == "following" {
			p.part, p.text = 1, fmt.Sprintf("following: at revision %d of the source; Ctrl-C to cut over", n.Revision)
			select {
			case <-cut:
				p.text = fmt.Sprintf("cutting over: at revision %d of the source; Ctrl-C again to give up", n.Revision)
			default:
			}
		}
		m.show(p)
	}
}

// importSide is how one of the two clusters is reached.
type importSide struct {
	what                      string
	endpoints                 []string
	caFile, certFile, keyFile string
	insecureTLS               bool
	user                      string
}

func (s *importSide) add(f *pflag.FlagSet, endpoint string) {
	var endpoints []string
	if endpoint != "" {
		endpoints = []string{endpoint}
	}
	f.StringSliceVar(&s.endpoints, s.what, endpoints, "client endpoints of the cluster to copy "+s.what)
	f.StringVar(&s.caFile, s.what+"-cacert", "", "CA of its servers' certificates")
	f.StringVar(&s.certFile, s.what+"-cert", "", "certificate to show to them")
	f.StringVar(&s.keyFile, s.what+"-key", "", "its key")
	f.BoolVar(&s.insecureTLS, s.what+"-insecure-skip-tls-verify", false, "do not verify their certificates")
	f.StringVar(&s.user, s.what+"-user", "", "name:password of an administrator, where authentication is on")
}

func (s *importSide) connect(ctx context.Context) (*clientv3.Client, error) {
	if len(s.endpoints) == 0 {
		return nil, fmt.Errorf("--%s must name endpoints", s.what)
	}
	cfg := clientv3.Config{
		Context: ctx, Endpoints: s.endpoints, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
	}
	if s.user != "" {
		name, password, ok := strings.Cut(s.user, ":")
		if !ok {
			return nil, fmt.Errorf("--%s-user %q is not name:password", s.what, s.user)
		}
		cfg.Username, cfg.Password = name, password
	}
	if s.caFile != "" || s.certFile != "" || s.insecureTLS || strings.HasPrefix(s.endpoints[0], "https://") {
		info := transport.TLSInfo{
			CertFile: s.certFile, KeyFile: s.keyFile, TrustedCAFile: s.caFile, InsecureSkipVerify: s.insecureTLS, Logger: zap.NewNop(),
		}
		made, err := info.ClientConfig()
		if err != nil {
			return nil, err
		}
		made.InsecureSkipVerify = s.insecureTLS
		cfg.TLS = made
	}
	if cfg.TLS != nil {
		if err := refusal(ctx, s.endpoints, cfg.TLS); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", s.what, strings.Join(s.endpoints, ","), err)
		}
	}
	c, err := clientv3.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", s.what, strings.Join(s.endpoints, ","), err)
	}
	return c, nil
}
