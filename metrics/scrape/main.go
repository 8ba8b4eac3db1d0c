// Command scrape has a real Prometheus server scrape weir's metrics, and asks it
// for them: `go run ./metrics/scrape`, or `make prometheus`, which fetches
// Prometheus as Debian has it. The exit status is 1 if what Prometheus says is
// not what weir did, or if promtool finds fault with the metrics.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/metrics"
)

// The exit statuses.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
)

// patience is for Prometheus to start, scrape and answer, which takes a second
// or two.
const patience = 2 * time.Minute

func main() {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("scrape", flag.ContinueOnError)
	flags.SetOutput(errOut)
	doc := flags.String("doc", "docs/observe.md", "a document whose queries Prometheus has to understand")
	dir := flags.String("dir", "bin/prometheus/usr/bin", "the directory with prometheus and promtool")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return statusOK
	case err != nil:
		return statusUsage // Parse has told
	case flags.NArg() > 0:
		fmt.Fprintf(errOut, "scrape: unexpected argument %q\n", flags.Arg(0))
		return statusUsage
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it took longer than %v", patience))
	defer cancel()
	if err := scrape(ctx, *dir, *doc, out); err != nil {
		fmt.Fprintln(errOut, "scrape:", err)
		return statusFailed
	}
	return statusOK
}

// questions are what Prometheus is asked, each until it says so.
var questions = []question{
	{`up{job="weir"}`, "1"},
	{`weir_connections{side="client"}`, "1"},
	{`weir_streams{side="server"}`, "1"},
	{`weir_streams_waiting{side="client",reason="stream_window"}`, "1"},
	{`weir_stream_send_quota_min_bytes{side="client"}`, "0"},
	{`weir_connection_send_quota_min_bytes{side="client"} > bool 0`, "1"},
	{`weir_stream_queued_bytes{side="client"} > bool 10000`, "1"},
	{`weir_window_updates_total{side="client",direction="received",level="stream"} >= bool 1`, "1"},
	{`weir_calls_finished_total{side="client",result="succeeded"} >= bool 10`, "1"},
	{`count(weir_window_updates_total)`, "8"},
	{`rate(weir_bytes_total{side="server",direction="received"}[10s]) > bool 0`, "1"},
}

// scrape shows weir at work to the Prometheus of dir.
func scrape(ctx context.Context, dir, doc string, out io.Writer) error {
	text, err := os.ReadFile(doc)
	if err != nil {
		return err
	}
	registry := inspect.NewRegistry()
	stop, err := work(ctx, registry)
	if err != nil {
		return err
	}
	defer stop()
	shown := prometheus.NewPedanticRegistry()
	shown.MustRegister(metrics.NewFlowControlMonitor(metrics.Options{Registry: registry}))
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	page := &http.Server{Handler: promhttp.HandlerFor(shown, promhttp.HandlerOpts{}), ReadHeaderTimeout: patience}
	go func() { _ = page.Serve(lis) }() // until Close
	defer page.Close()

	if err := checkMetrics(ctx, dir, "http://"+lis.Addr().String()); err != nil {
		return err
	}
	p, err := start(ctx, dir, lis.Addr().String())
	if err != nil {
		return err
	}
	defer p.stop()
	for _, q := range questions {
		if err := p.until(ctx, q); err != nil {
			return err
		}
		fmt.Fprintf(out, "ok  %s is %s\n", q.query, q.want)
	}
	queries := examples(string(text))
	for _, q := range queries {
		if _, err := askAll(ctx, p.address, q); err != nil {
			return fmt.Errorf("%s has the query %s: %w", doc, q, err)
		}
	}
	if len(queries) == 0 {
		return fmt.Errorf("%s has no queries", doc)
	}
	fmt.Fprintf(out, "ok  the %d queries of %s\n", len(queries), doc)
	return nil
}
