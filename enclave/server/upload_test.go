package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// upload sends one call's pieces.
func upload(ctx context.Context, c *enclavetest.Client, pieces ...*pb.UploadChunk) (int64, error) {
	stream, err := c.Upload(ctx)
	if err != nil {
		return 0, err
	}
	for _, p := range pieces {
		if err := stream.Send(p); err != nil {
			break // CloseAndRecv says why
		}
	}
	resp, err := stream.CloseAndRecv()
	return resp.GetReceived(), err
}

func mustUpload(t *testing.T, c *enclavetest.Client, want int64, pieces ...*pb.UploadChunk) {
	t.Helper()
	if n, err := upload(t.Context(), c, pieces...); err != nil || n != want {
		t.Fatalf("%d bytes received, %v, want %d", n, err, want)
	}
}

func wantUploaded(t *testing.T, c *enclavetest.Client, digest string, want int64) {
	t.Helper()
	resp, err := c.Uploaded(t.Context(), &pb.UploadedRequest{Digest: digest})
	if err != nil || resp.GetReceived() != want {
		t.Errorf("%d bytes are there, %v, want %d", resp.GetReceived(), err, want)
	}
}

// smallUploads is a domain whose enterprises may upload little.
func smallUploads(t *testing.T) (*enclavetest.Domain, *enclavetest.Enterprise) {
	t.Helper()
	d, e := enclavetest.Published(t)
	path := filepath.Join(d.Dir, enclave.ConfigFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("uploadBytesPerEnterprise: 1073741824"), []byte("uploadBytesPerEnterprise: 4194304"), 1)
	text = bytes.Replace(text, []byte("uploadBytes: 8589934592"), []byte("uploadBytes: 6291456"), 1)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Domain.Close(); err != nil {
		t.Fatal(err)
	}
	if d.Domain, err = enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	return d, e
}

// TestUploads sends payloads over the wire as a client would, and as it should
// not.
func TestUploads(t *testing.T) {
	d, e := smallUploads(t)
	address, beside := d.Serve(), d.Serve() // two processes on one folder
	c := d.Dial(address, e)
	payload := bytes.Repeat([]byte("0123456789abcdef"), 160<<10) // 2.5 MiB
	digest, size := ledger.Digest(payload), int64(len(payload))
	first := func(offset int64, data []byte) *pb.UploadChunk {
		return &pb.UploadChunk{Digest: digest, Size: size, Offset: offset, Data: data}
	}
	const piece = 1 << 20

	t.Run("a caller that breaks off goes on", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := c.Upload(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(first(0, payload[:piece])); err != nil {
			t.Fatal(err)
		}
		for { // until it is written
			resp, err := c.Uploaded(t.Context(), &pb.UploadedRequest{Digest: digest})
			if err != nil {
				t.Fatal(err)
			}
			if resp.GetReceived() == piece {
				break
			}
		}
		_, err = upload(t.Context(), c, first(piece, nil))
		if info := wantRefusal(t, err, ledger.ReasonRateLimited); info.Metadata["rule"] != "upload.busy" {
			t.Errorf("a second writer: %v", info.Metadata)
		}
		cancel()
		if err := stream.RecvMsg(new(pb.UploadResponse)); err == nil || errors.Is(err, io.EOF) {
			t.Error("a call that was given up is answered")
		}
		other := d.Dial(beside, e)
		for { // until the call that was given up has ended in the other process
			n, err := upload(t.Context(), other, first(piece, payload[piece:2*piece]))
			if err == nil && n == 2*piece {
				break
			}
			wantRefusal(t, err, ledger.ReasonRateLimited)
		}
		wantUploaded(t, c, digest, 2*piece)
		mustUpload(t, c, size, first(2*piece, payload[2*piece:2*piece+100]), &pb.UploadChunk{Data: payload[2*piece+100:]})
		wantUploaded(t, other, digest, size)
		mustUpload(t, other, size, first(0, nil)) // whole already
	})
	t.Run("refusals", func(t *testing.T) {
		small := []byte("small")
		named := &pb.UploadChunk{Digest: ledger.Digest(small), Size: 5}
		for name, test := range map[string]struct {
			pieces []*pb.UploadChunk
			rule   string
		}{
			"nothing":                   {nil, "request"},
			"no name":                   {[]*pb.UploadChunk{{Data: small}}, "request"},
			"a size below zero":         {[]*pb.UploadChunk{{Digest: named.Digest, Size: -5}}, "request"},
			"named twice":               {[]*pb.UploadChunk{named, named}, "request"},
			"beyond what is there":      {[]*pb.UploadChunk{{Digest: ledger.Digest([]byte("other")), Size: 5, Offset: 3}}, "upload.offset"},
			"more than declared":        {[]*pb.UploadChunk{named, {Data: []byte("smaller")}}, "upload.size"},
			"another digest":            {[]*pb.UploadChunk{named, {Data: []byte("Small")}}, "upload.digest"},
			"a piece that is too large": {[]*pb.UploadChunk{named, {Data: make([]byte, 2<<20)}}, "size"},
		} {
			_, err := upload(t.Context(), c, test.pieces...)
			if info := wantRefusal(t, err, ledger.ReasonBadRequest); info.Metadata["rule"] != test.rule {
				t.Errorf("%s: %v, want the rule %s", name, info.Metadata, test.rule)
			}
		}
		_, err := c.Uploaded(t.Context(), &pb.UploadedRequest{Digest: "../" + digest})
		wantRefusal(t, err, ledger.ReasonBadRequest)
	})
	t.Run("limits", func(t *testing.T) {
		big := func(n int64) *pb.UploadChunk {
			return &pb.UploadChunk{Digest: ledger.Digest([]byte{byte(n)}), Size: n}
		}
		_, err := upload(t.Context(), c, big(4<<20))
		info := wantRefusal(t, err, ledger.ReasonUploadsFull)
		if info.Metadata["rule"] != "limits.uploadBytesPerEnterprise" || info.Metadata["limit"] != "4194304" || info.Metadata["used"] == "" {
			t.Errorf("metadata %v", info.Metadata)
		}
		neighbour := d.Dial(address, d.Enterprise(enclavetest.Southern))
		wantUploaded(t, neighbour, digest, 0)
		_, err = upload(t.Context(), neighbour, big(4<<20))
		info = wantRefusal(t, err, ledger.ReasonUploadsFull)
		if info.Metadata["rule"] != "limits.uploadBytes" || info.Metadata["used"] != "" {
			t.Errorf("metadata %v: it tells of another's uploads", info.Metadata)
		}
		mustUpload(t, neighbour, 0, big(3<<20))
	})
	t.Run("a restart drops what is old", func(t *testing.T) {
		d.Clock.Advance(23 * time.Hour)
		mustUpload(t, c, size, first(0, nil)) // used
		d.Clock.Advance(2 * time.Hour)
		fresh := d.Dial(d.Serve(), e)
		wantUploaded(t, fresh, digest, size)
		d.Clock.Advance(25 * time.Hour)
		fresh = d.Dial(d.Serve(), e)
		wantUploaded(t, fresh, digest, 0)
		if left, err := filepath.Glob(filepath.Join(d.Dir, "uploads", "*", "*")); err != nil || len(left) > 0 {
			t.Errorf("%s stay, %v", strings.Join(left, ", "), err)
		}
	})
	wantCleanAudit(t, d)
}
