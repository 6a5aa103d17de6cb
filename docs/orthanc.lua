-- Sends films that may show a hand from Orthanc to `bonexage node`, whose results come back into their studies.
--
-- In Orthanc's configuration:
--   "LuaScripts": ["/etc/orthanc/orthanc.lua"], "LuaHeartBeatPeriod": 60, "JobsHistorySize": 10000,
--   "DicomModalities": { "bonexage": ["BONEXAGE", "127.0.0.1", 11112] }
-- and in the node's a destination with Orthanc's AE title, host and port. Made for Orthanc 1.10 and later.

local NODE = 'bonexage'     -- the name under DicomModalities
local TITLE = 'BONEXAGE'    -- its AE title there
local MODALITIES = { CR = true, DX = true }
local BODY_PARTS = { HAND = true, WRIST = true }
-- Words, in capitals, by which a film is known whose header names no such body part.
local WORDS = { 'BONE AGE', 'BONEAGE' }
local DESCRIPTIONS = { 'StudyDescription', 'SeriesDescription', 'ProtocolName', 'RequestedProcedureDescription' }

local function mayShowAHand(tags)
  if BODY_PARTS[string.upper(tags['BodyPartExamined'] or '')] then
    return true
  end
  for _, name in ipairs(DESCRIPTIONS) do
    for _, word in ipairs(WORDS) do
      if string.find(string.upper(tags[name] or ''), word, 1, true) then
        return true
      end
    end
  end
  return false
end

function OnStoredInstance(instanceId, tags, metadata, origin)
  local isResult = tags['ManufacturerModelName'] == 'bonexage'
  if MODALITIES[tags['Modality']] and not isResult and mayShowAHand(tags) then
    -- A job of its own, unlike SendToModality, which forgets a film that the node does not take at once.
    RestApiPost('/modalities/' .. NODE .. '/store',
      DumpJson({ Resources = { instanceId }, Synchronous = false }, true))
  end
end

-- Films that could not be sent, because the node was away for example, are sent again: at every heartbeat, and where
-- Orthanc has none (before 1.11.1), whenever a study has been quiet for a minute ("StableAge").
local function sendAgain()
  for _, job in ipairs(ParseJson(RestApiGet('/jobs?expand'))) do
    if job['State'] == 'Failure' and job['Type'] == 'DicomModalityStore'
        and job['Content']['RemoteAet'] == TITLE then
      RestApiPost('/jobs/' .. job['ID'] .. '/resubmit', '')
    end
  end
end

function OnHeartBeat()
  sendAgain()
end

function OnStableStudy(studyId, tags, metadata)
  sendAgain()
end
