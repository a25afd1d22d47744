// DeleteTopics, by name and by id: the controller decides (controller/topics.c).
#include "api/call.h"

void api_delete_topics(struct api_call *call) {
    api_to_controller(call, NULL);
}
