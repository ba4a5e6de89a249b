package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/sdk/agent"
)

// defaultAgent is where programs find the agent unless they are told.
const defaultAgent = "127.0.0.1:8470"

// agentFlags are what an agent is told.
type agentFlags struct {
	client                         clientFlags
	listen, tokenFile, addressFile string
}

func (e *env) agentCommand() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use: "agent", Short: e.T("agent.short"), Long: e.T("agent.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.agent(cmd.Context(), &f) },
	}
	f.client.bind(cmd, e)
	cmd.Flags().StringVar(&f.listen, "listen", defaultAgent, e.T("flag.agent-listen"))
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", e.T("flag.token-file"))
	cmd.Flags().StringVar(&f.addressFile, "address-file", "", e.T("flag.address-file"))
	return cmd
}

func (e *env) agent(ctx context.Context, f *agentFlags) error {
	c, err := f.client.dial(e)
	if err != nil {
		return err
	}
	defer c.Close()
	if f.tokenFile == "" {
		f.tokenFile = filepath.Join(f.client.identity, "state", "agent.token")
	}
	token, err := agent.Token(f.tokenFile)
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Options{Client: c, Token: token, Log: slog.New(slog.NewJSONHandler(e.stderr, nil))})
	if err != nil {
		return err
	}
	lis, err := agent.Listen(f.listen)
	if err != nil {
		return err
	}
	e.say(e.T("agent.listening", lis.Addr(), f.tokenFile))
	if f.addressFile != "" {
		if err := os.WriteFile(f.addressFile, []byte(lis.Addr().String()+"\n"), 0o644); err != nil {
			return errors.Join(text.E("serve.address-file", err), lis.Close())
		}
	}
	server := a.Server()
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		// What is under way may end; what does not is resumed when it is asked again.
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- errors.Join(server.Shutdown(grace), server.Close())
	})
	if err := server.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e.note(e.T("agent.stopped"))
	return nil
}
