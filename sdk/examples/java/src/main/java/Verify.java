import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Asks a yingbi gateway about identifiers, through the agent on this machine.
 *
 * <pre>
 * yingbi agent --identity me &amp;
 * mvn -q compile exec:java -Dexec.args="http://127.0.0.1:8470 me/state/agent.token licence-sector industry ids.txt"
 * </pre>
 *
 * ids.txt has one identifier a line, for a product with one field. Identifiers go to the agent
 * over loopback and no further. The jobs are forgotten once their answers are printed: a run
 * that died before is run again at no cost.
 */
public final class Verify {
    private final HttpClient http = HttpClient.newBuilder().proxy(HttpClient.Builder.NO_PROXY).build();
    private final ObjectMapper json = new ObjectMapper();
    private final String agent;
    private final String token;

    private Verify(String agent, String token) {
        this.agent = agent;
        this.token = token;
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 5) {
            System.err.println("usage: Verify AGENT TOKEN-FILE PRODUCT PURPOSE FILE");
            System.exit(2);
        }
        Verify verify = new Verify(args[0], Files.readString(Path.of(args[1])).strip());
        try {
            verify.run(args[2], args[3], Files.readAllLines(Path.of(args[4])));
        } catch (Refused refused) {
            System.err.println(refused.getMessage());
            System.exit(1);
        }
    }

    private void run(String product, String purpose, List<String> identifiers) throws Exception {
        String field = onlyField(product);
        ObjectNode ask = json.createObjectNode().put("product", product).put("purpose", purpose).put("keep", true);
        ArrayNode subjects = ask.putArray("subjects");
        for (String identifier : identifiers) {
            subjects.addObject().put(field, identifier);
        }
        JsonNode result = call("POST", "/v1/verify", ask);
        for (int i = 0; i < identifiers.size(); i++) {
            JsonNode answer = result.path("answers").path(i);
            System.out.println(identifiers.get(i) + "\t" + answer.path("found").asBoolean() + "\t" + answer.path("labels"));
        }
        System.out.flush();
        for (JsonNode job : result.path("jobs")) {
            call("DELETE", "/v1/kept/" + job.path("job").asText(), null);
            System.err.println("job " + job.path("job").asText() + ": " + job.path("amount").asText() + " yuan");
        }
    }

    private String onlyField(String product) throws Exception {
        for (JsonNode p : call("GET", "/v1/products", null).path("products")) {
            if (p.path("id").asText().equals(product)) {
                if (p.path("fields").size() != 1) {
                    throw new Refused("this example asks products with one field; " + product + " has " + p.path("fields"));
                }
                return p.path("fields").path(0).asText();
            }
        }
        throw new Refused("there is no product " + product);
    }

    /** One call. What the agent puts off is tried again after the time that it gives. */
    private JsonNode call(String method, String path, JsonNode body) throws IOException, InterruptedException, Refused {
        for (int attempt = 1; ; attempt++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(agent + path))
                    .header("Authorization", "Bearer " + token)
                    .header("Content-Type", "application/json")
                    .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(json.writeValueAsString(body)))
                    .build();
            HttpResponse<String> response = http.send(request, BodyHandlers.ofString());
            JsonNode answer = response.body().isEmpty() ? json.nullNode() : json.readTree(response.body());
            if (response.statusCode() < 300) {
                return answer;
            }
            if (!answer.has("retryAfter") || attempt == 10) {
                throw new Refused(answer.path("reason").asText() + ": " + answer.path("detail").asText() + " " + answer.path("subjects"));
            }
            Thread.sleep(1000 * answer.path("retryAfter").asLong());
        }
    }

    private static final class Refused extends Exception {
        Refused(String message) {
            super(message);
        }
    }
}
