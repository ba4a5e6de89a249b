package main

import (
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
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
				Log: slog.New(slog.NewJSONHandler(e.stderr, nil)),
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
