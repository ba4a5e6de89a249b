package server

import (
	"context"

	"google.golang.org/grpc"

	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// chunkBytes is how much of a public answer part one message carries.
const chunkBytes = 256 << 10

// service hands each call to the gateway, with who is calling.
type service struct {
	yingbipb.UnimplementedGatewayServer
	gateway *gateway.Gateway
}

func (s *service) Products(ctx context.Context, req *yingbipb.ProductsRequest) (*yingbipb.ProductsResponse, error) {
	return s.gateway.Products(ctx, callerOf(ctx), req)
}

func (s *service) Quote(ctx context.Context, req *yingbipb.QuoteRequest) (*yingbipb.QuoteResponse, error) {
	return s.gateway.Quote(ctx, callerOf(ctx), req)
}

func (s *service) Evaluate(ctx context.Context, req *yingbipb.EvaluateRequest) (*yingbipb.EvaluateResponse, error) {
	return s.gateway.Evaluate(ctx, callerOf(ctx), req)
}

func (s *service) Lookup(ctx context.Context, req *yingbipb.LookupRequest) (*yingbipb.LookupResponse, error) {
	return s.gateway.Lookup(ctx, callerOf(ctx), req)
}

func (s *service) Receipt(ctx context.Context, req *yingbipb.ReceiptRequest) (*yingbipb.ReceiptResponse, error) {
	return s.gateway.Receipt(ctx, callerOf(ctx), req)
}

func (s *service) Checkpoint(ctx context.Context, req *yingbipb.CheckpointRequest) (*yingbipb.CheckpointResponse, error) {
	return s.gateway.Checkpoint(ctx, callerOf(ctx), req)
}

func (s *service) PublicPart(req *yingbipb.PublicPartRequest, stream grpc.ServerStreamingServer[yingbipb.PublicPartChunk]) error {
	part, err := s.gateway.PublicPart(stream.Context(), callerOf(stream.Context()), req.GetDigest())
	if err != nil {
		return err
	}
	for len(part) > 0 {
		n := min(len(part), chunkBytes)
		if err := stream.Send(&yingbipb.PublicPartChunk{Data: part[:n]}); err != nil {
			return err
		}
		part = part[n:]
	}
	return nil
}

func (s *service) Cells(req *yingbipb.CellsRequest, stream grpc.ServerStreamingServer[yingbipb.CellsChunk]) error {
	return s.gateway.Cells(stream.Context(), callerOf(stream.Context()), req, stream.Send)
}

func (s *service) Upload(stream grpc.ClientStreamingServer[yingbipb.UploadChunk, yingbipb.UploadResponse]) error {
	resp, err := s.gateway.Upload(stream.Context(), callerOf(stream.Context()), stream.Recv)
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

func (s *service) Uploaded(ctx context.Context, req *yingbipb.UploadedRequest) (*yingbipb.UploadedResponse, error) {
	return s.gateway.Uploaded(ctx, callerOf(ctx), req)
}
