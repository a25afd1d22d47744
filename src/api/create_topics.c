// CreateTopics: the controller decides (controller/topics.c); the answer leaves when the topics
// have leaders on every reactor.
#include "api/call.h"

void api_create_topics(struct api_call *call) {
    api_to_controller(call, NULL);
}
