package main

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/server"
)

func (e *env) serveCommand() *cobra.Command {
	var f domainFlags
	var listen, addressFile string
	cmd := &cobra.Command{
		Use: "serve", Short: e.T("serve.short"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			d, err := e.open(ctx, &f)
			if err != nil {
				return err
			}
			defer d.Close()
			e.domainLanguage(d.Config().Language)
			if err := e.checkDatabase(ctx, d); err != nil {
				return err
			}
			certificate, pool, err := d.ServerTLS(ctx)
			if err != nil {
				return err
			}
			g, err := d.Gateway(ctx)
			if err != nil {
				return err
			}
			defer g.Close()
			limits := d.Config().Limits
			s, err := server.New(g, server.Options{
				Certificate: certificate, ClientCAs: pool, Clock: e.clock,
				MaxMessage: limits.MaxMessageBytes, InFlight: int64(limits.BytesInFlight), Timeout: time.Duration(limits.CallTimeout),
				Log: e.log(),
			})
			if err != nil {
				return err
			}
			if listen == "" {
				listen = d.Config().Listen
			}
			lis, err := net.Listen("tcp", listen)
			if err != nil {
				return text.E("serve.listen", listen, err)
			}
			e.say(e.T("serve.listening", d.Origin(), lis.Addr()))
			if addressFile != "" {
				if err := os.WriteFile(addressFile, []byte(lis.Addr().String()+"\n"), 0o644); err != nil {
					return text.E("serve.address-file", err)
				}
			}
			if e.ready != nil {
				e.ready(lis.Addr().String())
			}
			if err := s.Serve(ctx, lis); err != nil {
				return err
			}
			e.note(e.T("serve.stopped"))
			return nil
		},
	}
	f.bind(cmd, e)
	cmd.Flags().StringVar(&listen, "listen", "", e.T("flag.listen"))
	cmd.Flags().StringVar(&addressFile, "address-file", "", e.T("flag.address-file"))
	return cmd
}

// unsafeDatabase is the environment's word that a database may lose what it
// acknowledged: for tests on a throw-away server.
const unsafeDatabase = "YINGBI_UNSAFE_DATABASE"

// checkDatabase says how the database is set up otherwise than it should be, and
// does not serve from one that could lose what was answered.
func (e *env) checkDatabase(ctx context.Context, d *enclave.Domain) error {
	advice, err := d.InspectDatabase(ctx)
	if err != nil {
		return err
	}
	for _, a := range advice {
		if a.Refuse && e.getenv(unsafeDatabase) == "" {
			return text.E("serve.database-refused", a.ID, a.Set, a.Want, a.Why)
		}
		e.note(e.T("serve.database-advice", a.ID, a.Set, a.Want, a.Why))
	}
	return nil
}
